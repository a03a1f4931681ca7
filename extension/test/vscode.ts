// The editor's module exists only inside the editor; pure functions beside its uses are tested here.
export const window = {};
export const workspace = {};
