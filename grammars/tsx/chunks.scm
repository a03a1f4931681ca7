; TSX has the units of TypeScript and none of its own.
