"""The controller: looks at a broker again and again, says what differs, and in repair mode puts it right."""
