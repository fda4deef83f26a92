// Reads {tables: {name: columns}, queries: [text]} and prints, for each query, what Kusto's analysis has against it.
const folder = "@kusto/language-service-next/";
global.window = global.self = global; // it is made for pages
require(folder + "bridge.min.js");
require(folder + "Kusto.Language.Bridge.min.js");

const { tables, queries } = JSON.parse(require("node:fs").readFileSync(0, "utf-8"));
const { GlobalState, KustoCode, Symbols } = global.Kusto.Language;
const symbols = Object.entries(tables).map(([name, columns]) => new Symbols.TableSymbol.$ctor7(name, columns, null));
const workspace = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.ctor("workspace", symbols));

function complaints(query) {
  const found = KustoCode.ParseAndAnalyze(query, workspace).GetDiagnostics();
  return Array.from({ length: found.Count }, (_, index) => found.getItem(index).Message);
}

console.log(JSON.stringify(queries.map(complaints)));
