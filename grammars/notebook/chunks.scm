; A cell, with what it printed, may stand alone.
(pair
  key: (string
    (string_content) @_key)
  value: (array
    (object) @unit)
  (#eq? @_key "cells"))

; What a cell showed, by media type: of pictures, pages and scripts no text is left to be found.
(pair
  key: (string
    (string_content) @_key)
  (#match? @_key "^(image|application|text)/")
  (#not-eq? @_key "text/plain")
  (#not-eq? @_key "text/markdown")) @omit
