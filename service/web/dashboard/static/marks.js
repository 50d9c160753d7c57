// The shapes of candidates: parents are diamonds, baselines squares, the winner a star, all else dots.

/** Draws one mark; `size` is its radius. */
export function mark(context, shape, x, y, size) {
  context.beginPath();
  if (shape === "diamond") {
    context.moveTo(x, y - size * 1.25);
    context.lineTo(x + size * 1.25, y);
    context.lineTo(x, y + size * 1.25);
    context.lineTo(x - size * 1.25, y);
  } else if (shape === "square") {
    context.rect(x - size, y - size, 2 * size, 2 * size);
  } else if (shape === "star") {
    for (let i = 0; i < 10; i += 1) {
      const radius = i % 2 === 0 ? size * 1.7 : size * 0.75;
      const angle = (i * Math.PI) / 5 - Math.PI / 2;
      context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
    }
  } else {
    context.arc(x, y, size, 0, 2 * Math.PI);
  }
  context.closePath();
  context.fill();
}

/** Draws an arrow. */
export function arrow(context, x1, y1, x2, y2) {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
  if (Math.hypot(x2 - x1, y2 - y1) < 4) return;
  context.beginPath();
  context.moveTo(x2, y2);
  for (const turn of [-0.45, 0.45]) context.lineTo(x2 - 8 * Math.cos(angle + turn), y2 - 8 * Math.sin(angle + turn));
  context.closePath();
  context.fill();
}

/** Draws a name beside a mark, towards the picture's middle. */
export function label(context, text, x, y, width) {
  context.textAlign = x < width / 2 ? "left" : "right";
  context.textBaseline = "bottom";
  context.fillText(text, x < width / 2 ? x + 9 : x - 9, y - 5);
}
