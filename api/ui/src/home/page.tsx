import { Empty } from "../ui/states";

export default function Home() {
  return <Empty title="Experiments" />;
}
