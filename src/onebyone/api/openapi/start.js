"use strict";

// A login that is tried out on this page also fills in the page's own Authorize dialog.
function remember(answer) {
  const token = answer.ok && answer.url.endsWith("/auth") && answer.body?.response?.token;
  if (token) {
    page.preauthorizeApiKey("token", token);
  }
  return answer;
}

const page = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#ui",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  filter: true,
  queryConfigEnabled: false,
  responseInterceptor: remember,
  tryItOutEnabled: true,
  validatorUrl: null,
});
window.page = page;
