; TSX has the definitions of TypeScript and none of its own.
