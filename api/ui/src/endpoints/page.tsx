import { Empty } from "../ui/states";

export default function Endpoints() {
  return <Empty title="Endpoints" />;
}
