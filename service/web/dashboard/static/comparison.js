// The page that compares experiments: its figure, in the theme that is asked for.

import { drawAll, followTheme } from "./plots.js";

followTheme(drawAll);
await drawAll();
