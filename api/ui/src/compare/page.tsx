import { Empty } from "../ui/states";

export default function Compare() {
  return <Empty title="Compare" />;
}
