import { expect, test } from "bun:test";
import { describeProgram } from "./program.ts";

test("the help of fleet has each command below a heading, and help in the last one", () => {
  const fleet = describeProgram().commands.find((command) => command.name() === "fleet");
  const help = fleet?.helpInformation() ?? "";
  expect(help).not.toContain("\nCommands:\n");
  const headings = [...help.matchAll(/^(\S.*):$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual([
    "Options",
    "Set up the hub and its nodes",
    "On a node",
    "See nodes, jobs and results",
    "Control nodes",
    "Hand out jobs",
    "Help",
  ]);
  expect(help.indexOf("  help ")).toBeGreaterThan(help.indexOf("\nHelp:\n"));
});
