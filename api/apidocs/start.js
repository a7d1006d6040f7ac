// Shows the server's own OpenAPI document.
// @ts-check
// eslint-disable-next-line no-undef
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#reference", deepLinking: true, docExpansion: "list" });
