// Reads an AsyncAPI document from standard input; prints what AsyncAPI's own parser says of it.
const { Parser } = require('@asyncapi/parser')

let text = ''
process.stdin.on('data', (piece) => { text += piece })
process.stdin.on('end', async () => {
  const { document, diagnostics } = await new Parser().parse(text)
  const errors = diagnostics.filter((one) => one.severity === 0).map((one) => `${one.path.join('/')}: ${one.message}`)
  const operations = document ? document.allOperations().all().map((one) => one.id()) : []
  process.stdout.write(JSON.stringify({ isRead: Boolean(document), errors, operations }))
})
