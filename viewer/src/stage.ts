// The stage: WebGL, lights, camera, one view or several side by side.
import * as THREE from 'three';
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js';
import type { Camera, Framing, SceneData } from './payload';
import { colour, onTheme } from './theme';

/** What one view shows. */
export interface View {
  robots: THREE.Object3D[];
  label: string;
}

const rotationOf = ({ rotation: [w, x, y, z] }: Camera): THREE.Quaternion => new THREE.Quaternion(x, y, z, w);

export class Stage {
  readonly canvas: HTMLCanvasElement;
  readonly camera = new THREE.PerspectiveCamera(45, 1, 0.01, 1000);
  readonly controls: OrbitControls;
  readonly world = new THREE.Scene();
  readonly everything = new THREE.Group(); // robots: one of them is shown in each view
  onFreed: (() => void) | null = null; // the reader turned the camera
  views: View[] = [];
  private readonly renderer: THREE.WebGLRenderer;
  private readonly key = new THREE.DirectionalLight(0xffffff, 1);
  private readonly keyOffset = new THREE.Vector3();
  private readonly centre = new THREE.Vector3();
  private asked = false;
  private through: Camera | null = null; // a camera that moves with a body, until the reader turns it

  /** Throws if there is no WebGL. */
  constructor(
    parent: HTMLElement,
    private readonly scene: SceneData,
    private readonly framing: Framing,
  ) {
    this.renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
    this.canvas = this.renderer.domElement;
    this.canvas.tabIndex = 0;
    parent.append(this.canvas);
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.camera.up.set(0, 0, 1);
    const { extent } = scene;
    this.centre.set(...scene.centre);
    this.camera.near = 0.01 * extent;
    this.camera.far = 100 * extent;
    this.controls = new OrbitControls(this.camera, this.canvas);
    this.controls.enableDamping = false;
    this.controls.minDistance = 0.05 * extent;
    this.controls.maxDistance = 20 * extent;
    this.controls.addEventListener('change', () => this.draw());
    this.controls.addEventListener('start', () => {
      this.through = null;
      this.onFreed?.();
    });
    this.lights();
    this.world.add(this.everything);
    this.home();
    const colours = () => {
      this.world.fog = new THREE.Fog(new THREE.Color(colour('--sky-low')), 6 * extent, 28 * extent);
      this.draw();
    };
    onTheme(colours);
    colours();
    new ResizeObserver(() => this.resize(parent)).observe(parent);
    this.resize(parent);
  }

  /** Sky and ground light from all sides, the model's first light with a shadow, a weak one at the camera. */
  private lights(): void {
    this.world.add(new THREE.HemisphereLight(0xffffff, 0xb8b0a4, 1.35));
    const light = this.scene.lights.find((l) => l.shadow) ?? this.scene.lights[0];
    const direction = new THREE.Vector3(0.35, 0.5, -1);
    if (light) {
      direction.set(...light.direction);
      if (!light.directional && light.body === 0) direction.set(...light.position).sub(this.centre).negate();
      if (direction.lengthSq() === 0) direction.set(0, 0, -1);
    }
    const { extent } = this.scene;
    this.keyOffset.copy(direction.normalize()).multiplyScalar(-4 * extent);
    this.key.intensity = 2;
    this.key.castShadow = true;
    this.key.shadow.mapSize.set(1024, 1024);
    this.key.shadow.normalBias = 0.01 * extent;
    const reach = 2 * extent;
    Object.assign(this.key.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach, near: 0.1 * extent, far: 12 * extent });
    this.key.shadow.radius = 4;
    this.world.add(this.key, this.key.target);
    const head = new THREE.DirectionalLight(0xffffff, 0.7);
    this.camera.add(head);
    this.world.add(this.camera);
    this.lightOn(this.centre);
  }

  private lightOn(place: THREE.Vector3): void {
    this.key.target.position.copy(place);
    this.key.position.copy(place).add(this.keyOffset);
  }

  /** Where a reader begins. */
  home(): void {
    const camera = this.scene.cameras[this.framing.camera];
    if (camera) return this.use(camera);
    this.through = null;
    this.camera.fov = 45;
    const distance = (1.06 * this.framing.radius) / Math.sin(Math.PI / 8);
    this.controls.target.copy(this.centre);
    this.camera.position.copy(this.centre).addScaledVector(new THREE.Vector3(...this.framing.direction), distance);
    this.controls.update();
    this.draw();
  }

  /** Looks through a camera of the model; one on a body goes on with it: see `ride`. */
  use(camera: Camera): void {
    const fixed = camera.body === 0 && camera.target < 0;
    this.camera.fov = camera.field;
    this.through = fixed ? null : camera;
    if (fixed) this.lookAlong(new THREE.Vector3(...camera.position), new THREE.Vector3(0, 0, -1).applyQuaternion(rotationOf(camera)));
    this.draw();
  }

  /** Moves a camera that is on a body, or looks at one, to where the bodies are now. */
  ride(bodies: THREE.Object3D[]): boolean {
    const camera = this.through;
    if (!camera) return false;
    const body = bodies[camera.body]!;
    const eye = new THREE.Vector3(...camera.position);
    const forward = new THREE.Vector3(0, 0, -1).applyQuaternion(rotationOf(camera));
    if (camera.turns) {
      eye.applyQuaternion(body.quaternion);
      forward.applyQuaternion(body.quaternion);
    }
    eye.add(body.position);
    if (camera.target >= 0) forward.copy(bodies[camera.target]!.position).sub(eye).normalize();
    this.lookAlong(eye, forward);
    this.lightOn(this.controls.target);
    return true;
  }

  private lookAlong(eye: THREE.Vector3, forward: THREE.Vector3): void {
    const distance = Math.max(this.centre.clone().sub(eye).dot(forward), 0.3 * this.scene.extent);
    this.camera.position.copy(eye);
    this.controls.target.copy(eye).addScaledVector(forward, distance);
    this.controls.update();
  }

  /** Moves camera and light with what they look at. */
  follow(place: THREE.Vector3): void {
    const moved = place.clone().sub(this.controls.target);
    this.controls.target.copy(place);
    this.camera.position.add(moved);
    this.lightOn(place);
    this.controls.update();
  }

  private resize(parent: HTMLElement): void {
    const { clientWidth, clientHeight } = parent;
    if (clientWidth === 0 || clientHeight === 0) return;
    this.renderer.setSize(clientWidth, clientHeight);
    this.render();
  }

  /** Draws soon: several calls before the next frame are one. */
  draw(): void {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.render();
    });
  }

  /** Columns and rows of the views. */
  grid(): [number, number] {
    const n = Math.max(1, this.views.length);
    const { clientWidth: w, clientHeight: h } = this.canvas;
    let best: [number, number] = [n, 1];
    let side = 0;
    for (let columns = 1; columns <= n; ++columns) {
      const rows = Math.ceil(n / columns);
      const size = Math.min(w / columns, h / rows);
      if (size > side) [best, side] = [[columns, rows], size];
    }
    return best;
  }

  render(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    if (w === 0 || h === 0) return;
    const [columns, rows] = this.grid();
    const width = w / columns;
    const height = h / rows;
    // Narrow views keep the width that a square one has.
    const field = this.camera.fov;
    this.camera.aspect = width / height;
    if (this.camera.aspect < 1) this.camera.fov = (2 * 180 / Math.PI) * Math.atan(Math.tan((field * Math.PI) / 360) / this.camera.aspect);
    this.camera.updateProjectionMatrix();
    this.renderer.setScissorTest(this.views.length > 1);
    this.views.forEach((view, i) => {
      const x = (i % columns) * width;
      const y = h - (Math.floor(i / columns) + 1) * height;
      for (const robot of this.everything.children) robot.visible = view.robots.includes(robot);
      this.renderer.setViewport(x, y, width, height);
      this.renderer.setScissor(x, y, width, height);
      this.renderer.render(this.world, this.camera);
    });
    this.camera.fov = field;
  }

  /** What is wanted under a place of the canvas, and where; else the nearest in a circle of `radius` px around it. */
  pick(clientX: number, clientY: number, radius: number, wanted: (object: THREE.Object3D) => boolean): THREE.Intersection | null {
    const box = this.canvas.getBoundingClientRect();
    const ray = new THREE.Raycaster();
    const shown = this.everything.children.filter((child) => child.visible);
    const at = (x: number, y: number): THREE.Intersection | null => {
      ray.setFromCamera(new THREE.Vector2((2 * (x - box.left)) / box.width - 1, 1 - (2 * (y - box.top)) / box.height), this.camera);
      const hit = ray.intersectObjects(shown, true)[0];
      return hit && wanted(hit.object) ? hit : null;
    };
    let hit = at(clientX, clientY);
    for (let ring = 1; !hit && ring <= 4; ++ring)
      for (let i = 0; !hit && i < 4 * ring; ++i) {
        const angle = (2 * Math.PI * i) / (4 * ring);
        hit = at(clientX + (ring / 4) * radius * Math.cos(angle), clientY + (ring / 4) * radius * Math.sin(angle));
      }
    return hit;
  }

  /** The place under the pointer on the plane through `through` that faces the camera. */
  drag(clientX: number, clientY: number, through: THREE.Vector3): THREE.Vector3 {
    const box = this.canvas.getBoundingClientRect();
    const place = new THREE.Vector2((2 * (clientX - box.left)) / box.width - 1, 1 - (2 * (clientY - box.top)) / box.height);
    const ray = new THREE.Raycaster();
    ray.setFromCamera(place, this.camera);
    const plane = new THREE.Plane().setFromNormalAndCoplanarPoint(this.camera.getWorldDirection(new THREE.Vector3()), through);
    return ray.ray.intersectPlane(plane, new THREE.Vector3()) ?? through.clone();
  }
}
