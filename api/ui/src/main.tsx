// Where the page begins.

import "./style/base.css";
import { render } from "preact";
import { App } from "./app";

const box = document.getElementById("app");
if (box) render(<App />, box);
