import { Empty } from "../ui/states";

export default function Registry() {
  return <Empty title="Models" />;
}
