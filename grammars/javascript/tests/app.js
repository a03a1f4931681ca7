// What the file is for.

import React, { useState } from "react";
const { readFile } = require("fs");

/**
 * Most tries.
 */
export const MAX = 3;
let counter = 0, other = 1;
var legacy;

// Adds.
export function add(a, b = 1) {
  const local = a;
  function inner() {
    return local;
  }
  return inner() + b;
}

export default async function main() {}

function* generate() {
  yield 1;
}

/** Doubles. */
export const double = (x) => {
  let result = x * 2;
  return result;
};

const Component = function ({ name }) {
  return <div className="a">{name}</div>;
};

export class Counter extends Base {
  static total = 0;
  #secret = 1;

  // Starts.
  constructor(start) {
    super();
    this.value = start;
  }

  get value() {
    return this.#secret;
  }

  handle = (event) => {
    event.stop();
  };

  static async create() {}

  *[Symbol.iterator]() {}

  #hidden() {}
}

const api = {
  version: 1,
  get(path) {
    return path;
  },
  post: async (path) => path,
  delete: function (path) {},
};

Counter.prototype.reset = function () {
  this.value = 0;
};

module.exports.helper = () => 1;

const Named = class {};

export const { actions, reducer: reduce } = createSlice({});

describe("counter", () => {
  const fixture = 1;
  it("counts", () => {
    const local = fixture;
  });
});

module.exports = function register(app) {
  return app;
};
