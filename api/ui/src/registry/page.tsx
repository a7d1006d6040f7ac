// Models: all, one, or one version of one.

import "./registry.css";
import { route } from "../router";
import { Model } from "./model";
import { Models } from "./models";
import { Version } from "./version";

export default function Registry() {
  const [, name, third, fourth] = route.value.path;
  if (!name) return <Models />;
  const number = third === "versions" ? fourth : third;
  return number ? <Version key={`${name}/${number}`} name={name} number={number} /> : <Model key={name} name={name} />;
}
