import { Empty } from "../ui/states";

export interface ArtifactBrowserProps {
  runId: string;
}

export function ArtifactBrowser(_: ArtifactBrowserProps) {
  return <Empty title="Artifacts" />;
}
