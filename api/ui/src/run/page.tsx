import { Empty } from "../ui/states";

export default function RunPage() {
  return <Empty title="Run" />;
}
