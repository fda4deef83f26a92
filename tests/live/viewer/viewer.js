// What a viewer does, one function a step; each returns JSON. The function key goes into a header, as OHIF sends
// tokens, or, where none is given here, stands in the address as `code`.
"use strict";

const loader = cornerstoneWADOImageLoader;
loader.external.cornerstone = cornerstone;
loader.external.dicomParser = dicomParser;

const picture = document.getElementById("picture");

function clientOf(service) {
  const headers = service.key ? { "x-functions-key": service.key } : {};
  return new DICOMwebClient.api.DICOMwebClient({ url: service.url, headers, verbose: false });
}

// Calls a method of npm's dicomweb-client; ArrayBuffers are base64.
async function call(service, method, options) {
  try {
    return encoded(await clientOf(service)[method](options));
  } catch (error) {
    throw new Error(`${method}: ${error.status}`); // 0 where the browser keeps the answer from the page
  }
}

function encoded(value) {
  if (Array.isArray(value)) return value.map(encoded);
  if (!(value instanceof ArrayBuffer)) return value;
  return base64(new Uint8Array(value));
}

function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

// Shows a frame, one pixel of it a pixel of the page, and says what the loader made of it and what is to be seen.
async function show(service, path, metadata) {
  const id = `wadors:${service.url}${path}`;
  loader.configure({ beforeSend: (request) => service.key && request.setRequestHeader("x-functions-key", service.key) });
  loader.wadors.metaDataManager.add(id.replace(/frames\/\d+/, "frames/1"), metadata); // where it looks for any frame's
  const image = await cornerstone.loadImage(id).catch((reason) => {
    throw new Error(`frame: ${reason.error?.status ?? reason.error?.message ?? reason.message}`);
  });
  picture.style.width = `${image.columns}px`;
  picture.style.height = `${image.rows}px`;
  cornerstone.enable(picture);
  const viewport = cornerstone.getDefaultViewportForImage(picture, image);
  await drawn(() => cornerstone.displayImage(picture, image, viewport));
  const { rows, columns, minPixelValue, maxPixelValue, slope, intercept } = image;
  const { windowWidth, windowCenter } = cornerstone.getViewport(picture).voi;
  const canvas = picture.querySelector("canvas");
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return {
    rows, columns, minPixelValue, maxPixelValue, slope, intercept, windowWidth, windowCenter,
    canvas: { width, height, rgba: base64(data) },
  };
}

function drawn(draw) {
  return new Promise((resolve) => {
    picture.addEventListener(cornerstone.EVENTS.IMAGE_RENDERED, resolve, { once: true });
    draw();
  });
}

// Which headers of an answer the page may read.
async function readableHeaders(service, path) {
  const response = await fetch(service.url + path, { headers: { "x-functions-key": service.key } });
  return [...response.headers.keys()];
}
