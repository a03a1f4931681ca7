// Drawn for this view, 16 by 16, in the colour of the text around them.
const paths = {
  copy: "M5 2h8v9H5zM3 5v9h8",
  insert: "M3 3v10M6 8h7M10 5l3 3-3 3",
  apply: "M3 8l3 3 7-7",
  send: "M2 8h11M9 4l4 4-4 4",
  stop: "M4 4h8v8H4z",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3h-3",
  attach: "M12 7l-4.5 4.5a2 2 0 0 1-3-3L9.5 3.5a3 3 0 0 1 4 4L8 13",
  close: "M4 4l8 8M12 4l-8 8",
  file: "M4 2h5l3 3v9H4zM9 2v3h3",
  done: "M3 8l3 3 7-7",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={paths[name]} fill={name === "stop" ? "currentColor" : "none"} stroke="currentColor" />
    </svg>
  );
}
