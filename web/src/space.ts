/** The city in three dimensions: loaded when somebody asks for it, for three.js is ten times the rest of the page. */

import {
  AmbientLight,
  BufferGeometry,
  Color,
  CylinderGeometry,
  DirectionalLight,
  ExtrudeGeometry,
  Float32BufferAttribute,
  Group,
  LineBasicMaterial,
  LineSegments,
  Mesh,
  MeshLambertMaterial,
  PerspectiveCamera,
  PlaneGeometry,
  Scene,
  Shape,
  SphereGeometry,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import type { CityMap } from "./map";
import type { Track } from "./track";

const MAST = 4; // m
const DRONE = 7; // m

/** A view of one run; `draw` shows it at a time. */
export class Space {
  private scene = new Scene();
  private camera = new PerspectiveCamera(45, 1, 1, 20_000);
  private renderer: WebGLRenderer;
  private controls: OrbitControls;
  private uavs: Mesh<SphereGeometry, MeshLambertMaterial>[] = [];
  private twins: Mesh<SphereGeometry, MeshLambertMaterial>[] = [];
  private lines = new LineSegments(new BufferGeometry(), new LineBasicMaterial({ vertexColors: true, transparent: true, opacity: 0.7 }));

  constructor(
    private canvas: HTMLCanvasElement,
    private track: Track,
    private map: CityMap,
    dark: boolean,
  ) {
    this.renderer = new WebGLRenderer({ canvas, antialias: true });
    this.scene.background = new Color(dark ? "#0d131d" : "#f3f1ec");
    this.scene.add(new AmbientLight("#ffffff", 1.6));
    const sun = new DirectionalLight("#ffffff", 2.2);
    sun.position.set(-400, -700, 900);
    this.scene.add(sun, this.lines, this.city(dark));
    this.camera.up.set(0, 0, 1);
    this.controls = new OrbitControls(this.camera, canvas);
    const middle = this.middle();
    this.controls.target.set(middle.x, middle.y, 0);
    this.camera.position.set(middle.x, middle.y - 1.1 * middle.span, 0.8 * middle.span);
    this.controls.update();
  }

  private middle(): { x: number; y: number; span: number } {
    const known = this.track.cast.rsus.filter((rsu) => rsu.p[0] !== null);
    const xs = known.map((rsu) => rsu.p[0] as number);
    const ys = known.map((rsu) => rsu.p[1] as number);
    const [x0, x1] = [Math.min(...xs, 0), Math.max(...xs, 0)];
    const [y0, y1] = [Math.min(...ys, 0), Math.max(...ys, 0)];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, span: Math.max(x1 - x0, y1 - y0, 400) };
  }

  /** What stands still. */
  private city(dark: boolean): Group {
    const group = new Group();
    const wall = new MeshLambertMaterial({ color: dark ? "#3a4759" : "#cfc8bb" });
    for (const [height, ...corners] of this.track.cast.buildings) {
      const shape = new Shape();
      for (let i = 0; i + 1 < corners.length; i += 2) {
        if (i) shape.lineTo(corners[i], corners[i + 1]);
        else shape.moveTo(corners[0], corners[1]);
      }
      group.add(new Mesh(new ExtrudeGeometry(shape, { depth: height, bevelEnabled: false }), wall));
    }
    this.track.cast.rsus.forEach((rsu, m) => {
      const [x, y, z] = rsu.p;
      if (x === null || y === null || z === null) return;
      const mast = new Mesh(new CylinderGeometry(MAST, MAST, z, 12), new MeshLambertMaterial({ color: this.map.host(m) }));
      mast.rotation.x = Math.PI / 2;
      mast.position.set(x, y, z / 2);
      group.add(mast);
    });
    const ground = new Mesh(new PlaneGeometry(6000, 6000), new MeshLambertMaterial({ color: dark ? "#131b28" : "#e9e6de" }));
    ground.position.z = -0.5;
    group.add(ground);
    return group;
  }

  draw(t: number): void {
    const found = this.track.at(t);
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (!found || !w || !h) return;
    if (this.canvas.width !== Math.round(w * this.renderer.getPixelRatio())) {
      this.renderer.setSize(w, h, false);
      this.camera.aspect = w / h;
      this.camera.updateProjectionMatrix();
    }
    const [frame, next, part] = found;
    const at = (values: (number | null)[], later: (number | null)[], n: number): [number, number, number] | null => {
      const place = [0, 1, 2].map((i) => {
        const [a, b] = [values[3 * n + i], later[3 * n + i] ?? values[3 * n + i]];
        return a === null || a === undefined || b === null ? NaN : a + part * (b - a);
      });
      return Number.isFinite(place[0] + place[1] + place[2]) ? (place as [number, number, number]) : null;
    };
    const { rsus } = this.track.cast;
    frame.h.forEach((host, n) => {
      const truth = at(frame.p, next.p, n);
      const seen = frame.e ? at(frame.e, next.e ?? frame.e, n) : null;
      this.put(this.uavs, n, truth, this.map.host(host), 1);
      this.put(this.twins, n, seen, this.map.host(host), 0.35);
    });
    const places: number[] = [];
    const colours: number[] = [];
    const line = (a: [number, number, number], m: number): void => {
      const p = rsus[m]?.p;
      if (!p || p[0] === null || p[1] === null || p[2] === null) return;
      const colour = new Color(this.map.host(m));
      places.push(...a, p[0], p[1], p[2]);
      colours.push(colour.r, colour.g, colour.b, colour.r, colour.g, colour.b);
    };
    for (const [n, m, share] of this.track.sample(t)?.grants ?? []) {
      const truth = at(frame.p, next.p, n);
      if (truth && share > 0.02) line(truth, m);
    }
    this.lines.geometry.setAttribute("position", new Float32BufferAttribute(places, 3));
    this.lines.geometry.setAttribute("color", new Float32BufferAttribute(colours, 3));
    this.renderer.render(this.scene, this.camera);
  }

  private put(meshes: Mesh<SphereGeometry, MeshLambertMaterial>[], n: number, place: [number, number, number] | null, colour: string, opacity: number): void {
    if (!meshes[n]) {
      const material = new MeshLambertMaterial({ transparent: opacity < 1, opacity });
      meshes[n] = new Mesh(new SphereGeometry(DRONE, 16, 12), material);
      this.scene.add(meshes[n]);
    }
    meshes[n].visible = place !== null;
    meshes[n].material.color.set(colour);
    if (place) meshes[n].position.set(...place);
  }

  close(): void {
    this.controls.dispose();
    this.renderer.dispose();
  }
}

Object.assign(window, { Space });
