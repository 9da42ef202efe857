"""The Grafana dashboards in `helm/letrade-topo/files/dashboards`, written by `script/reference`.

A dashboard is rows of panels; a panel is a question in PromQL, with a title that says it in words (`panels`). Each
dashboard is a module; `grafana` makes its JSON of it, so that a person can read and change what is asked.
"""
