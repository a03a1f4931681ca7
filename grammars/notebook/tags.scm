; What a cell defines is written in the language of its kernel; this is the grammar of what holds it.
