// What is wrong with how a page looks, told to the page that frames it.
addEventListener("load", () => {
  const wrong = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) wrong.push(`the page is ${root.scrollWidth} wide`);
  const drawings = [...document.querySelectorAll("figure svg")].filter((one) => one.getClientRects().length > 0);
  for (const drawing of drawings) {
    const name = drawing.querySelector("title").textContent;
    const frame = drawing.getBoundingClientRect();
    if (frame.width < 100 || frame.height < 40) wrong.push(`${name} is ${frame.width} by ${frame.height}`);
    const boxed = (selector) => [...drawing.querySelectorAll(selector)].map((one) => [one, one.getBoundingClientRect()]);
    // The box of a line of text is higher than its letters by about this much on each side.
    const air = 2;
    const apart = (a, b) =>
      a.right <= b.left || b.right <= a.left || a.bottom <= b.top + air || b.bottom <= a.top + air;
    const within = (a, b, more) =>
      a.left >= b.left - more && a.right <= b.right + more && a.top >= b.top - more && a.bottom <= b.bottom + more;
    const texts = boxed("text");
    texts.forEach(([text, box], index) => {
      const says = `${name}: \`${text.firstChild.textContent}\``;
      if (box.width === 0 || box.height < 9) wrong.push(`${says} is ${box.width} by ${box.height}`);
      if (!within(box, frame, 1)) wrong.push(`${says} is cut off`);
      for (const [other, at] of texts.slice(index + 1))
        if (!apart(box, at)) wrong.push(`${says} is over \`${other.firstChild.textContent}\``);
      for (const [, at] of boxed(".state"))
        if (!apart(box, at) && !within(box, at, 1)) wrong.push(`${says} is over the edge of a state`);
    });
    for (const [mark, box] of boxed(".edge, .curve, .point, .state"))
      if (box.width + box.height === 0) wrong.push(`${name}: ${mark.outerHTML} has no size`);
  }
  const inside = (selector) => drawings.filter((one) => one.closest(selector)).length;
  parent.postMessage(JSON.stringify({ width: innerWidth, states: inside(".states"), plots: inside(".plot"), wrong }), "*");
});
