// Styles that components import; the build gathers them in app.css.
declare module "*.css";
