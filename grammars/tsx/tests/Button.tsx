import { useState } from "react";

interface Props {
  label: string;
  onClick?: () => void;
}

/** A button. */
export function Button({ label, onClick }: Props) {
  const [pressed, setPressed] = useState(false);
  const press = () => setPressed(true);
  return (
    <button onClick={press} aria-pressed={pressed}>
      {label} <b>it's</b>
    </button>
  );
}

export const Wide: React.FC<Props> = (props) => <Button {...props} />;

const identity = <T,>(value: T): T => value;
