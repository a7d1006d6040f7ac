// Named views: what a page shows at its address, kept on the server for everybody.

import "./saved.css";
import { useState } from "preact/hooks";
import { useLoaded } from "../loaded";
import { href, navigate, route, setQuery } from "../router";
import { del, get, patch, post, says } from "../server";
import { Button, IconButton } from "../ui/button";
import { Dialog, Popover } from "../ui/dialog";
import { Failed, Loading } from "../ui/states";
import { Ago } from "../ui/text";
import { toast, toastFault } from "../ui/toast";

export interface SavedView {
  view_id: string;
  name: string;
  path: string;
  query: string;
  note: string;
  created_by: string;
  last_update_time_ms: number;
  updated_by: string;
}

export interface SavedViewsProps {
  /** The experiments the views are of. */
  experiments: readonly string[];
}

const VIEWS = "/api/headrace/v1/views";
/** In the address: the view that was opened, which what is shown may have left since. */
const OPENED = "view";

function textOf(query: URLSearchParams): string {
  const kept = new URLSearchParams(query);
  kept.delete(OPENED);
  return kept.toString();
}

/** Whether two queries say the same, in whatever order. */
function same(one: string, other: string): boolean {
  const sorted = (text: string) => {
    const query = new URLSearchParams(text);
    query.delete(OPENED);
    query.sort();
    return query.toString();
  };
  return sorted(one) === sorted(other);
}

/** The address of a saved view, for a link. */
export function addressOf(view: SavedView): string {
  const query = new URLSearchParams(view.query);
  query.set(OPENED, view.view_id);
  return `#${view.path}?${query.toString()}`;
}

export function SavedViews({ experiments }: SavedViewsProps) {
  const path = ["experiments", experiments.join(",")];
  const place = href(path).slice(1);
  const { value, error, again } = useLoaded((signal) => get<{ views: SavedView[] }>(VIEWS, { path: place }, { signal }), [place]);
  const { query } = route.value;
  const views = value?.views;
  const shown = textOf(query);
  const opened = views?.find(({ view_id }) => view_id === query.get(OPENED)) ?? views?.find((view) => same(view.query, shown));
  const changed = opened !== undefined && !same(opened.query, shown);
  const text = opened ? opened.name + (changed ? " · changed" : "") : "Views";
  return (
    <Popover label={opened ? `Saved views, ${text}` : "Saved views"} icon="star" text={text} class="saved-views">
      {(close) => (error && !views ? <Failed title="Saved views could not be read" error={error} again={again} /> : views ? <List views={views} path={path} place={place} opened={opened} changed={changed} shown={shown} again={again} close={close} /> : <Loading />)}
    </Popover>
  );
}

interface ListProps {
  views: readonly SavedView[];
  path: readonly string[];
  place: string;
  opened: SavedView | undefined;
  changed: boolean;
  shown: string;
  again: () => void;
  close: () => void;
}

function List({ views, path, place, opened, changed, shown, again, close }: ListProps) {
  const [name, setName] = useState("");
  const [fault, setFault] = useState("");
  const [renamed, setRenamed] = useState<SavedView | null>(null);
  const open = (view: SavedView) => {
    const query = new URLSearchParams(view.query);
    query.set(OPENED, view.view_id);
    navigate(path, query);
    close();
  };
  const save = async () => {
    try {
      const made = await post<SavedView>(VIEWS, { name, path: place, query: shown });
      setQuery({ [OPENED]: made.view_id });
      toast(`The view “${made.name}” is saved`);
      again();
      close();
    } catch (error) {
      setFault(says(error));
    }
  };
  const update = async (view: SavedView) => {
    try {
      await patch(`${VIEWS}/${view.view_id}`, { query: shown });
      setQuery({ [OPENED]: view.view_id });
      toast(`The view “${view.name}” shows this from now on`, () => void change(view, { query: view.query }));
      again();
      close();
    } catch (error) {
      toastFault(error);
    }
  };
  const change = async (view: SavedView, changes: Partial<SavedView>) => {
    try {
      await patch(`${VIEWS}/${view.view_id}`, changes);
      again();
    } catch (error) {
      toastFault(error);
    }
  };
  const remove = async (view: SavedView) => {
    try {
      await del(`${VIEWS}/${view.view_id}`);
      toast(`The view “${view.name}” is deleted`, () => {
        const { name, path, query, note } = view;
        post(VIEWS, { name, path, query, note }).then(again, toastFault);
      });
      again();
    } catch (error) {
      toastFault(error);
    }
  };
  return (
    <>
      {views.length === 0 && <p class="quiet">No views are saved yet. A view keeps filters, columns, sorting, groups and charts under a name, for everybody.</p>}
      {views.length > 0 && (
        <ul class="saved-list">
          {views.map((view) => (
            <li key={view.view_id} class={view === opened ? "opened" : ""}>
              <button type="button" class="saved-open" aria-current={view === opened ? "true" : undefined} title={view.note || undefined} onClick={() => open(view)}>
                <span class="clip">{view.name}</span>
                <span class="quiet">
                  {view.updated_by ? `${view.updated_by}, ` : ""}
                  <Ago ms={view.last_update_time_ms} />
                </span>
              </button>
              <IconButton small icon="edit" label={`Rename ${view.name}`} onClick={() => setRenamed(view)} />
              <IconButton small icon="trash" label={`Delete ${view.name}`} onClick={() => remove(view)} />
            </li>
          ))}
        </ul>
      )}
      {opened && changed && (
        <div class="saved-changed">
          <Button onClick={() => update(opened)}>Save changes to “{opened.name}”</Button>
          <Button kind="quiet" onClick={() => open(opened)}>
            Undo them
          </Button>
        </div>
      )}
      <form
        class="saved-new"
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <label>
          <span class="sr">Name of the new view</span>
          <input
            class="input"
            required
            maxLength={200}
            placeholder="Name for what is shown"
            value={name}
            aria-invalid={fault ? "true" : undefined}
            onInput={(event) => {
              setName(event.currentTarget.value);
              setFault("");
            }}
          />
        </label>
        <Button kind="primary" type="submit" disabled={!name.trim()}>
          Save view
        </Button>
      </form>
      {fault && (
        <p class="fault" role="alert">
          {fault}
        </p>
      )}
      {renamed && (
        <Rename
          view={renamed}
          close={() => setRenamed(null)}
          done={(changes) => {
            setRenamed(null);
            void change(renamed, changes);
          }}
        />
      )}
    </>
  );
}

function Rename({ view, close, done }: { view: SavedView; close: () => void; done: (changes: { name: string; note: string }) => void }) {
  const [name, setName] = useState(view.name);
  const [note, setNote] = useState(view.note);
  const actions = (
    <Button kind="primary" disabled={!name.trim()} onClick={() => done({ name, note })}>
      Save
    </Button>
  );
  return (
    <Dialog title={`The view “${view.name}”`} close={close} actions={actions}>
      <label class="field">
        <span>Name</span>
        <input class="input" maxLength={200} value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>Note</span>
        <textarea class="input" rows={3} maxLength={5000} value={note} onInput={(event) => setNote(event.currentTarget.value)} />
      </label>
    </Dialog>
  );
}

/** All saved views there are, as links; nothing where there are none. */
export function AllSavedViews() {
  const { value } = useLoaded((signal) => get<{ views: SavedView[] }>(VIEWS, {}, { signal }), []);
  const views = value?.views ?? [];
  if (!views.length) return null;
  const newest = [...views].sort((a, b) => b.last_update_time_ms - a.last_update_time_ms).slice(0, 12);
  return (
    <section class="saved-all" aria-labelledby="saved-all">
      <h2 id="saved-all">Saved views</h2>
      <ul>
        {newest.map((view) => (
          <li key={view.view_id}>
            <a class="card" href={addressOf(view)} title={view.note || undefined}>
              <span class="clip">{view.name}</span>
              <span class="quiet clip">
                {view.updated_by ? `${view.updated_by}, ` : ""}
                <Ago ms={view.last_update_time_ms} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

