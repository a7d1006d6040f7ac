import { Empty } from "../ui/states";

export default function Workspace() {
  return <Empty title="Runs" />;
}
