// A Parquet file as a table: any hundred of its rows, read by ranges.

import { useState } from "preact/hooks";
import { counted } from "../format";
import { useLoaded } from "../loaded";
import { Failed, Loading } from "../ui/states";
import { opened, type ParquetFile } from "./parquet";
import { PAGE_ROWS, Pager, RowsTable } from "./rows";

export default function ParquetView({ url, path, size }: { url: string; path: string; size: number }) {
  const { value, error, again } = useLoaded((signal) => opened(url, size, signal), [url, size]);
  if (error) return <Failed title="The table could not be read" error={error} again={again} />;
  return value ? <Rows file={value} path={path} /> : <Loading />;
}

function Rows({ file, path }: { file: ParquetFile; path: string }) {
  const [first, setFirst] = useState(0);
  const { value, error, loading, again } = useLoaded(async () => ({ first, rows: await file.read(first, Math.min(file.rows, first + PAGE_ROWS)) }), [file, first]);
  const left = file.columns.length - file.shown.length;
  return (
    <>
      <div class="preview-bar">
        <Pager first={first} total={file.rows} go={setFirst} />
        <label class="check-box numbers">
          Go to row
          <input
            class="input"
            type="number"
            min={1}
            max={file.rows}
            value={first + 1}
            onChange={(event) => setFirst(Math.max(0, Math.min(file.rows - 1, Math.floor(Number(event.currentTarget.value) || 1) - 1)))}
          />
        </label>
        <span class="quiet">
          {counted(file.columns.length, "column")}
          {left > 0 && `, of which ${left.toLocaleString("en-US")} are too large or too many to be shown`}
        </span>
      </div>
      {error ? (
        <Failed title="The rows could not be read" error={error} again={again} />
      ) : value ? (
        <div class="rows-box" aria-busy={loading}>
          <RowsTable label={`Rows of ${path}`} head={file.shown} rows={value.rows} first={value.first + 1} />
        </div>
      ) : (
        <Loading />
      )}
    </>
  );
}
