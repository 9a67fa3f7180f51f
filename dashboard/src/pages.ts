// Which panes each page has. The server's list of pages (`shoal.dashboard.pages`) has the same names;
// a test compares them.

import type { MakePane } from "./pane";
import * as details from "./panes/details";
import * as graphs from "./panes/graphs";
import { clusterMap } from "./panes/map";
import * as moving from "./panes/moving";
import * as profiles from "./panes/profiles";
import * as report from "./panes/report";
import * as series from "./panes/series";
import * as status from "./panes/status";
import * as tables from "./panes/tables";
import * as workers from "./panes/workers";

export interface Place {
  title: string;
  make: MakePane;
  area: string; // columns / rows that it takes: "half", "full", "low", "line"
}

export interface Page {
  title: string;
  panes: Place[];
  group?: string; // under which heading it is listed
  hidden?: boolean; // not in the list of pages: one gets there by a link
}

const place = (title: string, make: MakePane, area = "half"): Place => ({ title, make, area });

const work = status.tabs([["Processing", status.nprocessing], ["CPU", status.cpu], ["Occupancy", status.occupancy], ["Data transfer", status.transfers]]);

export const PANES: { [name: string]: Place } = {
  "task-stream": place("Task stream", status.taskStream),
  progress: place("Progress", status.progress),
  graph: place("Task graph", graphs.graph),
  groups: place("Groups", graphs.groups),
  "group-progress": place("Progress by group", graphs.groupTable),
  "workers-memory": place("Bytes stored per worker", status.workersMemory),
  "cluster-memory": place("Bytes stored", status.clusterMemory),
  "workers-transfer-bytes": place("Data transfer", status.transfers),
  cpu: place("Processor", status.cpu),
  nprocessing: place("Tasks assigned", status.nprocessing),
  occupancy: place("Work assigned", status.occupancy),
  workers: place("Workers", workers.workers),
  exceptions: place("Exceptions", tables.exceptions),
  "bandwidth-types": place("Bandwidth", workers.bandwidth),
  "bandwidth-workers": place("Bandwidth of workers", workers.bandwidth),
  "workers-network": place("Network", workers.bandwidth),
  "workers-disk": place("Hardware", workers.hardware),
  "workers-network-timeseries": place("Sent between workers", series.network),
  "workers-cpu-timeseries": place("Processor over time", series.processor),
  "workers-memory-timeseries": place("Memory over time", series.memory),
  "workers-disk-timeseries": place("Disk of the scheduler's host", series.schedulerDisk),
  "memory-by-key": place("Memory by prefix", tables.memoryByPrefix),
  "compute-time-per-key": place("Time by prefix", tables.timeByPrefix),
  "aggregate-time-per-action": place("Time by activity", moving.fine),
  "scheduler-system": place("The scheduler's process", status.tabs([
    ["CPU", series.schedulerProcessor], ["Memory", series.schedulerMemory], ["Network", series.schedulerNetwork],
    ["Disk", series.schedulerDisk], ["Files", series.schedulerFiles]])),
  contention: place("The scheduler's loop", series.contention),
  "fine-performance-metrics": place("Time by activity", moving.fine),
  profile: place("Profile of workers", profiles.ofWorkers),
  "profile-server": place("Profile of the scheduler's loop", profiles.ofScheduler),
  "gpu-memory": place("GPU memory", workers.gpu),
  "gpu-utilization": place("GPU utilization", workers.gpu),
  "rmm-memory": place("RMM memory", workers.gpu),
  "cluster-map": place("Cluster map", clusterMap),
  shuffle: place("Shuffles", moving.shuffle),
};

const one = (title: string, make: MakePane): Place[] => [place(title, make, "full")];

export const GROUPS = ["Now", "Tasks", "Data", "Past", "Inside"];

export const PAGES: { [name: string]: Page } = {
  status: {
    title: "Status", group: "Now",
    panes: [
      place("", status.summary, "line"),
      place("Bytes stored", status.clusterMemory, "short"),
      place("Bytes stored per worker", status.workersMemory, "third"),
      place("Work", work, "third"),
      place("Progress", status.progress, "third"),
      place("Task stream", status.taskStream, "wide"),
    ],
  },
  workers: { title: "Workers", group: "Now", panes: one("Workers", workers.workers) },
  tasks: { title: "Task Stream", group: "Now", panes: one("Task stream", status.taskStream) },
  why: { title: "Why it waits", group: "Tasks", panes: one("Why it waits", details.why) },
  search: { title: "Search", group: "Tasks", panes: one("Search", details.search) },
  graph: { title: "Graph", group: "Tasks", panes: one("Task graph", graphs.graph) },
  groups: { title: "Groups", group: "Tasks", panes: [place("Groups", graphs.groups, "wide"), place("Progress by group", graphs.groupTable, "rest")] },
  memory: { title: "Memory", group: "Data", panes: [place("Memory by prefix", tables.memoryByPrefix, "tall"), place("Memory over time", series.memory, "tall")] },
  history: {
    title: "History", group: "Past",
    panes: [
      place("Tasks", series.tasks), place("Tasks a second", series.rate), place("Memory", series.memory),
      place("Processor", series.processor), place("Sent between workers", series.network), place("Work assigned", series.work),
      place("Workers", series.crew),
    ],
  },
  faults: { title: "Faults", group: "Past", panes: one("What happened to workers", tables.faults) },
  exceptions: { title: "Exceptions", group: "Tasks", panes: one("Exceptions", tables.exceptions) },
  code: { title: "Who asked", group: "Tasks", panes: one("Who asked", tables.code) },
  shuffle: { title: "Shuffle", group: "Data", panes: one("Shuffles", moving.shuffle) },
  fine: { title: "Time", group: "Tasks", panes: one("Time by activity", moving.fine) },
  profile: { title: "Profile", group: "Inside", panes: one("Profile of workers", profiles.ofWorkers) },
  "profile-server": { title: "Scheduler profile", group: "Inside", panes: one("Profile of the scheduler's loop", profiles.ofScheduler) },
  system: {
    title: "System", group: "Inside",
    panes: [
      place("Processor", series.schedulerProcessor), place("Memory", series.schedulerMemory), place("Network", series.schedulerNetwork),
      place("Disk", series.schedulerDisk), place("Open files", series.schedulerFiles), place("The loop", series.contention),
    ],
  },
  stealing: { title: "Balance", group: "Inside", panes: [place("How even the work is", workers.balance), place("Work assigned", series.work)] },
  events: { title: "Events", group: "Past", panes: one("Events", tables.events) },
  counters: { title: "Counters", group: "Inside", panes: [place("Counters", tables.counters), place("Time by prefix", tables.timeByPrefix)] },
  "cluster-map": { title: "Map", group: "Now", panes: one("Cluster map", clusterMap) },
  hardware: { title: "Hardware", group: "Data", panes: [place("Speed of memory and disk", workers.hardware), place("Bandwidth of workers", workers.bandwidth)] },
  gpu: { title: "GPU", group: "Data", panes: one("GPUs", workers.gpu) },
  logs: { title: "Log", group: "Past", panes: one("Log", tables.logs) },
  "call-stacks": { title: "What runs", group: "Tasks", panes: one("What runs", tables.stacks) },
  task: { title: "Task", panes: one("Task", details.task), hidden: true },
  worker: { title: "Worker", panes: one("Worker", details.worker), hidden: true },
};

// Pages of recordings only.
export const REPORT_PAGES: { [name: string]: Page } = {
  summary: { title: "Summary", panes: one("Summary", report.summary) },
  transfers: { title: "Transfers", panes: one("Data between workers", report.transfers) },
  "profile-workers": { title: "Workers' own profile", panes: one("Profile of the workers' own work", profiles.ofWorkersThemselves) },
};
