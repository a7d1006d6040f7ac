// Endpoints: all, or one.

import "../registry/registry.css";
import "./endpoints.css";
import { route } from "../router";
import { Endpoint } from "./endpoint";
import { Endpoints } from "./list";

export default function EndpointsPage() {
  const [, name] = route.value.path;
  return name ? <Endpoint key={name} name={name} /> : <Endpoints />;
}
