// The parts of Observable Plot that the report page draws with; all else is left out of the bundle.
export {
  axisX, axisY, barX, dot, gridX, gridY, line, plot, pointer, ruleX, ruleY, text, tickX, tip,
} from "@observablehq/plot";
