// How large an element is, and a canvas of that size.

import { useLayoutEffect, useRef, useState } from "preact/hooks";

export interface Size {
  width: number;
  height: number;
}

/** The size of an element's inside, in CSS pixels; zeros until it is laid out. */
export function useSize<T extends HTMLElement>(): [{ current: T | null }, Size] {
  const element = useRef<T>(null);
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useLayoutEffect(() => {
    const seen = element.current;
    if (!seen) return;
    const observer = new ResizeObserver(() => {
      const next = { width: seen.clientWidth, height: seen.clientHeight };
      setSize((before) => (before.width === next.width && before.height === next.height ? before : next));
    });
    observer.observe(seen);
    return () => observer.disconnect();
  }, []);
  return [element, size];
}

/** An empty canvas of this size, in CSS pixels, sharp on every screen. */
export function cleared(canvas: HTMLCanvasElement, { width, height }: Size): CanvasRenderingContext2D | null {
  const scale = devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(scale, 0, 0, scale, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}
