// The 3-D view of a suspect: NiiVue is inflated on the first click, and one view is open at a time.
"use strict";
(() => {
  const NO_WEBGL = "This browser has no WebGL 2, which the 3-D view needs. The still picture shows the same case.";
  const NO_INFLATING = "This browser is too old for the 3-D view. The still picture shows the same case.";
  const HELP =
    "Click, drag or scroll to move the crosshair; or use the arrow keys, and Page Up and Page Down along the third axis.";
  const KEYS = {
    ArrowLeft: [-1, 0, 0],
    ArrowRight: [1, 0, 0],
    ArrowDown: [0, -1, 0],
    ArrowUp: [0, 1, 0],
    PageDown: [0, 0, -1],
    PageUp: [0, 0, 1],
  };
  let opened = null; // what closes the view that is open
  let niivue = null; // the promise of the library

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  async function inflate(base64) {
    const bytes = Uint8Array.from(atob(base64.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  function library() {
    niivue ??= inflate(document.getElementById("niivue").textContent).then((code) => {
      document.head.append(element("script", { textContent: code }));
      return window.niivue;
    });
    return niivue;
  }

  function colours(classes) {
    const rows = [[0, 0, 0], ...classes.map(([, hex]) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)))];
    const [R, G, B] = [0, 1, 2].map((channel) => rows.map((row) => row[channel]));
    return { R, G, B, A: rows.map((_, index) => (index ? 255 : 0)), I: rows.map((_, index) => index) };
  }

  async function show(canvas, volume, opacity, say) {
    const { Niivue, NVImage, SHOW_RENDER } = await library();
    const viewer = new Niivue({
      crosshairColor: [1, 1, 1, 0.6],
      crosshairGap: 4,
      crosshairWidth: 0.3, // of a voxel
      dragAndDropEnabled: false,
      fontColor: [0.9, 0.9, 0.9, 1],
      fontMinPx: 14,
      isRadiologicalConvention: true, // right at the left and front at the left, as in the still pictures
      loadingText: "",
      logLevel: "silent",
      multiplanarShowRender: SHOW_RENDER.ALWAYS,
      sagittalNoseLeft: true,
      scrollRequiresFocus: true,
      show3Dcrosshair: true,
    });
    viewer.onLocationChange = ({ mm, values }) => {
      const [x, y, z] = Array.from(mm, (at) => at.toFixed(0));
      const at = volume.classes[values[1]?.value - 1];
      say(`Crosshair at ${x}, ${y}, ${z} mm (R, A, S): ${at ? `class ${at[0]}` : "no label"}.`);
    };
    await viewer.attachToCanvas(canvas);
    const image = { base64: volume.image, name: "image.nii.gz", colormap: "gray", cal_min: 0, cal_max: 63 };
    viewer.addVolume(await NVImage.loadFromBase64(image));
    if (volume.label) {
      const label = await NVImage.loadFromBase64({ base64: volume.label, name: "label.nii.gz", opacity });
      label.setColormapLabel(colours(volume.classes));
      viewer.addVolume(label);
    }
    return viewer;
  }

  function parts(name, volume) {
    const canvas = element("canvas", { tabIndex: 0 });
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `3-D view of ${name}. ${HELP}`);
    const slider = element("input", { type: "range", min: 0, max: 100, value: 40 });
    const legend = [...volume.classes].sort(([one], [other]) => one - other).map(([value, hex]) => {
      const swatch = element("span", { className: "viewer-swatch" });
      swatch.style.backgroundColor = hex;
      return element("li", {}, swatch, `class ${value}`);
    });
    const status = element("p", { className: "viewer-status", textContent: "Loading…" });
    status.setAttribute("role", "status");
    const centre = element("button", { type: "button", textContent: "To the centre" });
    const close = element("button", { type: "button", textContent: "Close (Esc)" });
    const opacity = element("label", {}, "Opacity of the label ", slider);
    const controls = element("div", { className: "viewer-controls" }, volume.label ? opacity : "", centre, close);
    const stage = element("div", { className: "viewer-stage" },
      element("div", { className: "viewer-canvas" }, canvas), controls, status,
      volume.label ? element("ul", { className: "viewer-legend" }, ...legend) : "",
      element("p", { className: "viewer-help", textContent: `${HELP} Voxels of ${volume.mm} mm, after preprocessing.` }));
    return { stage, canvas, slider, status, centre, close };
  }

  async function open(hook, button, volume) {
    opened?.();
    const { stage, canvas, slider, status, centre, close } = parts(hook.dataset.case, volume);
    button.hidden = true;
    hook.append(stage);
    const context = canvas.getContext("webgl2", { alpha: true, antialias: false });
    if (!context) {
      refuse(hook, NO_WEBGL);
      return;
    }
    let viewer = null;
    const shut = (opened = () => {
      opened = null;
      viewer?.cleanup();
      context.getExtension("WEBGL_lose_context")?.loseContext();
      stage.remove();
      button.hidden = false;
      button.focus();
    });
    close.addEventListener("click", shut);
    stage.addEventListener("keydown", (event) => {
      event.stopPropagation(); // the keys of the page rest
      if (event.key === "Escape") shut();
    });
    canvas.focus();
    try {
      viewer = await show(canvas, volume, slider.value / 100, (text) => (status.textContent = text));
    } catch (error) {
      shut();
      refuse(hook, `The 3-D view did not open (${error.message}). The still picture shows the same case.`);
      return;
    }
    if (!stage.isConnected) {
      viewer.cleanup(); // closed while it was loading
      return;
    }
    const toCentre = () => {
      viewer.scene.crosshairPos = viewer.mm2frac(volume.centre);
      viewer.createOnLocationChange();
      viewer.drawScene();
    };
    toCentre();
    centre.addEventListener("click", toCentre);
    slider.addEventListener("input", () => viewer.setOpacity(1, slider.value / 100));
    canvas.addEventListener("keydown", (event) => {
      const step = KEYS[event.key];
      if (!step) return;
      event.preventDefault();
      viewer.moveCrosshairInVox(...step);
    });
    stage.dataset.ready = "true";
  }

  function refuse(hook, sentence) {
    hook.replaceChildren(element("p", { className: "viewer-refusal", textContent: sentence }));
  }

  function volumes() {
    const blocks = document.querySelectorAll("script.viewer-volume");
    return new Map(Array.from(blocks, (block) => [block.dataset.case, block]));
  }

  const found = volumes();
  for (const hook of document.querySelectorAll(".viewer[data-case]")) {
    const block = found.get(hook.dataset.case);
    if (!block) continue;
    const button = element("button", { type: "button", textContent: "Look at it in 3-D" });
    button.addEventListener("click", () => {
      if (typeof DecompressionStream === "undefined") refuse(hook, NO_INFLATING);
      else open(hook, button, JSON.parse(block.textContent));
    });
    hook.append(button);
  }
})();
