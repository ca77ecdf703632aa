import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findGroup, findUser, variablesOf } from "./userAccount.ts";

const directory = mkdtempSync(join(tmpdir(), "ffrtmp-test-"));
afterAll(() => rmSync(directory, { recursive: true }));
const files = { users: join(directory, "passwd"), groups: join(directory, "group") };
writeFileSync(
  files.users,
  [
    "root:x:0:0:root:/root:/bin/bash",
    "transcode:x:998:997:Transcodes, with a comma:/srv/transcode:/usr/sbin/nologin",
    "1000:x:1500:1500::/home/number:/bin/sh",
    "anna:x:1000:1000:Anna:/home/anna:/bin/bash",
    "bare:x:1001:1001:::",
    "broken:x:many:1:::",
    "minus:x:4294967295:1:::",
    "#comment:x:5:5:::",
    "short:x",
    "",
  ].join("\n"),
);
writeFileSync(
  files.groups,
  [
    "root:x:0:",
    "video:x:44:transcode,anna",
    "render:x:109:transcode",
    "near:x:7:transcoder",
    "bad:x:q:transcode",
  ].join("\n"),
);

test("a user has the ids of passwd(5) and the groups of group(5)", () => {
  const user = findUser("transcode", files);
  expect(user).toEqual({
    ...{ name: "transcode", uid: 998, gid: 997, groups: [997, 44, 109] },
    ...{ home: "/srv/transcode", shell: "/usr/sbin/nologin" },
  });
  expect(user && variablesOf(user)).toEqual({
    ...{ HOME: "/srv/transcode", USER: "transcode", LOGNAME: "transcode", SHELL: "/usr/sbin/nologin" },
  });
  expect(findUser("bare", files)).toMatchObject({ home: "/", shell: "/bin/sh" });
});

test("a group has the number of group(5)", () => {
  expect(["video", "none", "bad"].map((name) => findGroup(name, files))).toEqual([44, undefined, undefined]);
});

test("a number is the name of a user first, as for chown(1), and its uid otherwise", () => {
  expect(findUser("1000", files)).toMatchObject({ uid: 1500 });
  expect(findUser("998", files)).toMatchObject({ name: "transcode" });
});

test("a line without two numbers is no user, and neither is one that the kernel has no id for", () => {
  for (const name of ["none", "broken", "minus", "short", "#comment", "", "5", "4294967295"])
    expect(findUser(name, files)).toBeUndefined();
});
