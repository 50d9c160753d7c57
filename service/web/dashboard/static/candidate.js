// The page of one candidate: its copy buttons.

import { followButtons } from "./actions.js";

followButtons(() => window.location.reload());
