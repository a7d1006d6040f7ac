import assert from "node:assert/strict";
import { test } from "node:test";
import { commitPage, quoted, recipe, repositoryPage } from "./reproduce";

const COMMIT = "3fc22e8aa00000000000000000000000000000ff";

test("every way to name a repository leads to its page", () => {
  for (const url of ["git@github.com:ada/gan.git", "https://github.com/ada/gan.git", "ssh://git@github.com/ada/gan", "https://ada:s3cret@github.com/ada/gan/", "git://github.com:9418/ada/gan.git#sub"]) {
    assert.equal(repositoryPage(url), "https://github.com/ada/gan", url);
  }
});

test("what is no address of the web is no link", () => {
  for (const url of ["javascript:alert(1)//x.y/z", "/home/ada/gan", "file:///x", "data:text/html,x", "", "https://"]) {
    assert.equal(repositoryPage(url), undefined, url);
  }
});

test("a commit's page is where its host has it", () => {
  assert.equal(commitPage("git@gitlab.com:a/b.git", "abcd"), "https://gitlab.com/a/b/-/commit/abcd");
  assert.equal(commitPage("git@bitbucket.org:a/b.git", "abcd"), "https://bitbucket.org/a/b/commits/abcd");
  assert.equal(commitPage("git@github.com:a/b", "not a commit"), undefined);
});

test("a run of the SDK is run again by its own command, in its folder, at its commit", () => {
  const tags = new Map([
    ["mlflow.source.git.repoURL", "git@github.com:ada/gan.git"],
    ["mlflow.source.git.commit", COMMIT],
    ["mlflow.source.git.dirty", "true"],
    ["headrace.folder", "jobs"],
    ["headrace.command", "python train.py --lr 0.1"],
  ]);
  assert.deepEqual(recipe(tags, "http://h/requirements.txt"), {
    lines: [
      "git clone git@github.com:ada/gan.git && cd gan",
      `git checkout ${COMMIT}`,
      "cd jobs",
      "curl -sO http://h/requirements.txt && pip install -r requirements.txt",
      "python train.py --lr 0.1",
    ],
    warnings: ["The code had changes that were not committed."],
  });
});

test("what others wrote into tags stays one word of the shell", () => {
  assert.equal(quoted("a; rm -rf ~"), "'a; rm -rf ~'");
  assert.equal(quoted("it's"), `'it'"'"'s'`);
  const told = recipe(new Map([["mlflow.source.name", "x.py; curl evil"], ["mlflow.source.type", "LOCAL"]]), undefined);
  assert.deepEqual(told?.lines, ["python 'x.py; curl evil'"]);
});

test("nothing is made up where nothing is known", () => {
  assert.equal(recipe(new Map(), undefined), undefined);
  assert.equal(recipe(new Map([["mlflow.source.type", "NOTEBOOK"], ["mlflow.source.name", "a.ipynb"]]), undefined), undefined);
});
