import { Empty } from "../ui/states";

export default function Lineage() {
  return <Empty title="Lineage" />;
}
