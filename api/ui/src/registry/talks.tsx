// What people say about a model or version: comments, and requests that it be moved.

import { useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { Button } from "../ui/button";
import { Failed, Loading } from "../ui/states";
import { Ago, Markdown } from "../ui/text";
import { changes, getComments, getRequests, useFollowed, type TransitionRequest } from "./api";
import { act, Ask, Input, Stage } from "./parts";

export function Comments({ name, version, editable }: { name: string; version?: string; editable: boolean }) {
  const [text, setText] = useState("");
  const { value, error, again } = useLoaded((signal) => getComments(name, version, { signal }), [name, version]);
  useFollowed(again);
  if (error) return <Failed title="The comments could not be read" error={error} again={again} />;
  if (!value) return <Loading />;
  return (
    <div class="comments">
      {!value.length && <p class="none">Nobody has commented yet.</p>}
      <ol>
        {value.map((one) => (
          <li key={one.id}>
            <p class="quiet row">
              <strong>{one.user_id || "Someone"}</strong>
              {!version && one.version && <span>on version {one.version}</span>}
              <Ago ms={one.creation_timestamp} />
              <span class="grow" />
              {editable && (
                <button type="button" class="link" aria-label={`Delete the comment “${one.comment.slice(0, 40)}”`} onClick={() => void act(() => changes.deleteComment(one.id), "Comment deleted", again)}>
                  Delete
                </button>
              )}
            </p>
            <Markdown text={one.comment} />
          </li>
        ))}
      </ol>
      {editable && (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void act(() => changes.comment(name, version, text), "Comment added", again).then((done) => done && setText(""));
          }}
        >
          <Input label="Comment, in Markdown" value={text} set={setText} area />
          <button type="submit" class="button" disabled={!text.trim()}>
            Add comment
          </button>
        </form>
      )}
    </div>
  );
}

export function Requests({ name, version, then }: { name: string; version: string; then: () => void }) {
  const [deciding, setDeciding] = useState<{ how: "approve" | "reject"; request: TransitionRequest } | null>(null);
  const [comment, setComment] = useState("");
  const { value, again } = useLoaded((signal) => getRequests(name, version, { signal }), [name, version]);
  useFollowed(again);
  const open = (value ?? []).filter(({ state }) => state === "open");
  if (!open.length) return null;
  const decide = (how: "approve" | "reject", request: TransitionRequest) => {
    setComment("");
    setDeciding({ how, request });
  };
  return (
    <ul class="card requests" aria-label="Requests">
      {open.map((request) => (
        <li key={request.id} class="row">
          <span>
            <strong>{request.user_id || "Someone"}</strong> asks for
          </span>
          <Stage stage={request.to_stage} />
          {request.comment && <q>{request.comment}</q>}
          <span class="quiet">
            <Ago ms={request.creation_timestamp} />
          </span>
          <span class="grow" />
          <Button kind="primary" onClick={() => decide("approve", request)}>
            Approve
          </Button>
          <Button onClick={() => decide("reject", request)}>Reject</Button>
        </li>
      ))}
      {deciding && (
        <Ask
          title={deciding.how === "approve" ? `Approve ${deciding.request.to_stage}` : `Reject ${deciding.request.to_stage}`}
          action={deciding.how === "approve" ? "Approve" : "Reject"}
          danger={deciding.how === "reject"}
          close={() => setDeciding(null)}
          submit={async () => {
            await changes.decide(deciding.how, name, version, deciding.request, comment);
            again();
            then();
          }}
        >
          <Input label="Comment" value={comment} set={setComment} area />
        </Ask>
      )}
    </ul>
  );
}
