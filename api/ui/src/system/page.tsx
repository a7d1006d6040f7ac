import { Empty } from "../ui/states";

export default function System() {
  return <Empty title="System" />;
}
