import { mount } from "svelte";
import "../styles/base.css";
import Report from "./Report.svelte";
import Status from "./Status.svelte";

const token = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const target = document.getElementById("app")!;
if (token) mount(Status, { target, props: { token } });
else mount(Report, { target });
