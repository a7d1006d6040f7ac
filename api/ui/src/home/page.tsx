// The first page: every experiment, what goes on in it, and the views that were saved.

import "./home.css";
import { useEffect, useState } from "preact/hooks";
import { counted } from "../format";
import { useLoaded } from "../loaded";
import { useLogged } from "../logged";
import { href, navigate, route, setQuery } from "../router";
import { post, says } from "../server";
import { Button } from "../ui/button";
import { Dialog, Menu } from "../ui/dialog";
import { Icon } from "../ui/icon";
import { Empty, Failed, Loading } from "../ui/states";
import { Segments } from "../ui/tabs";
import { Ago } from "../ui/text";
import { toast, toastFault } from "../ui/toast";
import { AllSavedViews } from "../views/saved";
import { counts, experiments, type Count, type Experiment } from "./experiments";

const SHOWN = 200;
const NONE: Count = { runs: 0, running: 0, failed: 0, lastMs: 0 };
const SORTS = {
  recent: (a: Row, b: Row) => Math.max(b.lastMs, b.createdMs) - Math.max(a.lastMs, a.createdMs),
  name: (a: Row, b: Row) => a.name.localeCompare(b.name, undefined, { numeric: true }),
  runs: (a: Row, b: Row) => b.runs - a.runs,
  created: (a: Row, b: Row) => b.createdMs - a.createdMs,
};
type Sort = keyof typeof SORTS;
type Row = Experiment & Count;

export default function Home() {
  const { query } = route.value;
  const binned = query.get("view") === "bin";
  const words = (query.get("q") ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const sort: Sort = (query.get("sort") as Sort | null) ?? "recent";
  const listed = useLoaded((signal) => experiments(binned, signal), [binned]);
  const numbers = useLoaded(counts, []);
  const [asked, setAsked] = useState<"" | "new" | Experiment>("");
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [all, setAll] = useState(false);
  useEffect(() => setChosen(new Set()), [binned]);
  useLogged(() => {
    listed.again();
    numbers.again();
  });

  if (listed.error && !listed.value) return <Failed title="The experiments could not be read" error={listed.error} again={listed.again} />;
  if (!listed.value) return <Loading />;
  const rows = listed.value
    .map((one): Row => ({ ...one, ...(numbers.value?.get(one.id) ?? NONE) }))
    .filter((one) => words.every((word) => one.name.toLowerCase().includes(word) || one.id === word))
    .sort(SORTS[sort] ?? SORTS.recent);
  const act = async (path: string, body: Record<string, string>, said: string, undo?: () => void) => {
    try {
      await post(`/api/2.0/mlflow/experiments/${path}`, body);
      toast(said, undo);
      listed.again();
    } catch (error) {
      toastFault(error);
    }
  };
  const restore = (one: Experiment) => void act("restore", { experiment_id: one.id }, `“${one.name}” is out of the bin`);
  const remove = (one: Experiment) => void act("delete", { experiment_id: one.id }, `“${one.name}” is in the bin`, () => restore(one));
  const choose = (id: string, on: boolean) => {
    const next = new Set(chosen);
    if (on) next.add(id);
    else next.delete(id);
    setChosen(next);
  };
  const total = [...(numbers.value?.values() ?? [])].reduce((sum, { runs }) => sum + runs, 0);
  const shown = all ? rows : rows.slice(0, SHOWN);
  const heading = (name: Sort, label: string, number = false) => (
    <th scope="col" class={number ? "number" : ""} aria-sort={sort === name ? (name === "name" ? "ascending" : "descending") : undefined}>
      <button type="button" class="sorter" onClick={() => setQuery({ sort: name === "recent" ? null : name })}>
        {label}
        {sort === name && <Icon name={name === "name" ? "up" : "down"} />}
      </button>
    </th>
  );
  return (
    <div class="page home">
      <div class="page-head">
        <h1>Experiments</h1>
        <span class="quiet numbers">
          {numbers.value && `${counted(listed.value.length, "experiment")} · ${counted(total, "run")}`}
        </span>
        <span class="grow" />
        <input class="input home-filter" type="search" data-filter aria-label="Filter experiments" placeholder="Filter by name" value={query.get("q") ?? ""} onInput={(event) => setQuery({ q: event.currentTarget.value })} />
        <Segments label="Which experiments" choices={[{ value: "", label: "Active" }, { value: "bin", label: "Bin" }]} chosen={binned ? "bin" : ""} choose={(value) => setQuery({ view: value })} />
        {chosen.size > 1 && (
          <Button icon="table" onClick={() => navigate(["experiments", [...chosen].join(",")])}>
            Open {chosen.size} together
          </Button>
        )}
        <Button icon="plus" kind="primary" onClick={() => setAsked("new")}>
          New experiment
        </Button>
      </div>
      {!rows.length ? (
        <Nothing binned={binned} filtered={words.length > 0} />
      ) : (
        <div class="card scroll">
          <table class="plain home-table">
            <caption class="sr">{binned ? "Experiments in the bin" : "Experiments"}</caption>
            <thead>
              <tr>
                <th scope="col" class="choice">
                  <span class="sr">Choose</span>
                </th>
                {heading("name", "Name")}
                {heading("runs", "Runs", true)}
                <th scope="col">Now</th>
                {heading("recent", "Last run")}
                {heading("created", "Created")}
                <th scope="col">
                  <span class="sr">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <tr key={one.id}>
                  <td class="choice">
                    <input type="checkbox" aria-label={`Choose ${one.name}`} checked={chosen.has(one.id)} onChange={(event) => choose(one.id, event.currentTarget.checked)} />
                  </td>
                  <th scope="row">
                    <a href={href(["experiments", one.id])}>{one.name}</a>
                    {one.note && <p class="quiet clip">{one.note.split("\n", 1)[0]}</p>}
                  </th>
                  <td class="number">{numbers.value ? one.runs.toLocaleString("en-US") : ""}</td>
                  <td>
                    {one.running > 0 && (
                      <span class="status running">
                        <Icon name="running" />
                        {one.running.toLocaleString("en-US")} running
                      </span>
                    )}
                  </td>
                  <td class="when">{one.lastMs ? <Ago ms={one.lastMs} /> : <span class="quiet">{numbers.value ? "No runs" : ""}</span>}</td>
                  <td class="when">
                    <Ago ms={one.createdMs} />
                  </td>
                  <td class="actions">
                    <Menu
                      small
                      label={`Actions on ${one.name}`}
                      items={
                        binned
                          ? [{ label: "Restore", icon: "refresh", act: () => restore(one) }]
                          : [
                              { label: "Rename", icon: "edit", act: () => setAsked(one) },
                              { label: "Copy id", icon: "copy", act: () => void navigator.clipboard?.writeText(one.id) },
                              { label: "Move to the bin", icon: "trash", danger: true, disabled: one.id === "0", act: () => remove(one) },
                            ]
                      }
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {shown.length < rows.length && (
            <p class="home-more">
              <Button kind="quiet" onClick={() => setAll(true)}>
                Show all {rows.length.toLocaleString("en-US")}
              </Button>
            </p>
          )}
        </div>
      )}
      {!binned && <AllSavedViews />}
      {asked && (
        <Name
          experiment={asked === "new" ? undefined : asked}
          close={() => setAsked("")}
          done={() => {
            setAsked("");
            listed.again();
          }}
        />
      )}
    </div>
  );
}

function Nothing({ binned, filtered }: { binned: boolean; filtered: boolean }) {
  if (filtered)
    return (
      <Empty title="No experiment has this in its name" icon="search">
        <Button onClick={() => setQuery({ q: null })}>Show all</Button>
      </Empty>
    );
  if (binned) return <Empty title="The bin is empty" icon="trash" />;
  return (
    <Empty title="No experiments yet" icon="chart">
      <p>Log a run, and it is here within a moment:</p>
      <pre>
        <code>{`import headrace\n\nheadrace.set_tracking_uri("${location.origin}")\nheadrace.set_experiment("first")\nwith headrace.start_run():\n    headrace.log_metric("loss", 0.5)`}</code>
      </pre>
    </Empty>
  );
}

/** Asks for the name of a new experiment, or another for one there is. */
function Name({ experiment, close, done }: { experiment: Experiment | undefined; close: () => void; done: () => void }) {
  const [name, setName] = useState(experiment?.name ?? "");
  const [fault, setFault] = useState("");
  const save = async () => {
    try {
      if (experiment) {
        await post("/api/2.0/mlflow/experiments/update", { experiment_id: experiment.id, new_name: name });
        done();
      } else {
        const made = await post<{ experiment_id: string }>("/api/2.0/mlflow/experiments/create", { name });
        navigate(["experiments", made.experiment_id]);
      }
    } catch (error) {
      setFault(says(error));
    }
  };
  return (
    <Dialog title={experiment ? `Rename “${experiment.name}”` : "New experiment"} close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <label class="field">
          <span>Name</span>
          <input class="input" autofocus required value={name} aria-invalid={fault ? "true" : undefined} onInput={(event) => setName(event.currentTarget.value)} />
        </label>
        {fault && (
          <p class="fault" role="alert">
            {fault}
          </p>
        )}
        <div class="home-name">
          <Button kind="primary" type="submit" disabled={!name.trim()}>
            {experiment ? "Rename" : "Create"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
