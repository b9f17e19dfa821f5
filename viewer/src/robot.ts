// The robot and its surroundings as three.js objects.
import * as THREE from 'three';
import { mergeVertices, toCreasedNormals } from 'three/examples/jsm/utils/BufferGeometryUtils.js';
import type { Numbers, SceneData, Shape } from './payload';

const quarter = Math.PI / 2;

/** Shapes of one scene: made once, shared by all robots. */
export class Geometry {
  private readonly made = new Map<string, THREE.BufferGeometry>();
  private readonly textures: THREE.Texture[] = [];

  constructor(
    private readonly scene: SceneData,
    private readonly numbers: Numbers,
  ) {
    for (const { width, height, pixels } of scene.textures) {
      const rgb = numbers.bytes(pixels);
      const rgba = new Uint8Array(width * height * 4).fill(255);
      for (let i = 0; i < width * height; ++i) rgba.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
      const texture = new THREE.DataTexture(rgba, width, height);
      texture.colorSpace = THREE.SRGBColorSpace;
      texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
      texture.magFilter = THREE.LinearFilter;
      texture.minFilter = THREE.LinearMipmapLinearFilter;
      texture.generateMipmaps = true;
      texture.anisotropy = 8;
      texture.needsUpdate = true;
      this.textures.push(texture);
    }
  }

  /** Half-lengths of a plane: those without end reach far. */
  private planeSize(shape: Shape): [number, number] {
    const far = 30 * this.scene.extent;
    return [shape.size[0] > 0 ? shape.size[0] : far, shape.size[1] > 0 ? shape.size[1] : far];
  }

  of(shape: Shape): THREE.BufferGeometry {
    const key = `${shape.shape} ${shape.size.join(' ')} ${shape.data}`;
    let geometry = this.made.get(key);
    if (!geometry) this.made.set(key, (geometry = this.make(shape)));
    return geometry;
  }

  private make(shape: Shape): THREE.BufferGeometry {
    const [a, b, c] = shape.size;
    switch (shape.shape) {
      case 'sphere':
        return new THREE.SphereGeometry(a, 40, 24);
      case 'ellipsoid':
        return new THREE.SphereGeometry(1, 40, 24).scale(a, b, c);
      case 'capsule':
        return new THREE.CapsuleGeometry(a, 2 * b, 12, 32).rotateX(quarter);
      case 'cylinder':
        return new THREE.CylinderGeometry(a, a, 2 * b, 40).rotateX(quarter);
      case 'box':
        return new THREE.BoxGeometry(2 * a, 2 * b, 2 * c);
      case 'plane': {
        const [x, y] = this.planeSize(shape);
        return new THREE.PlaneGeometry(2 * x, 2 * y);
      }
      case 'mesh': {
        const { vertices, faces } = this.scene.meshes[shape.data]!;
        const geometry = new THREE.BufferGeometry();
        geometry.setAttribute('position', new THREE.BufferAttribute(this.numbers.floats(vertices), 3));
        geometry.setIndex(new THREE.BufferAttribute(this.numbers.naturals(faces), 1));
        return toCreasedNormals(mergeVertices(geometry), Math.PI / 6);
      }
      case 'height field': {
        const { rows, columns, size, heights } = this.scene.heightFields[shape.data]!;
        const z = this.numbers.floats(heights);
        const geometry = new THREE.PlaneGeometry(2 * size[0], 2 * size[1], columns - 1, rows - 1);
        const position = geometry.getAttribute('position');
        for (let row = 0; row < rows; ++row) // three's first row is at +y, MuJoCo's at -y
          for (let i = 0; i < columns; ++i) position.setZ((rows - 1 - row) * columns + i, z[row * columns + i]! * size[2]);
        geometry.computeVertexNormals();
        return geometry;
      }
    }
  }

  material(shape: Shape, opacity: number): THREE.Material {
    const [r, g, b, alpha] = shape.colour;
    const see = alpha * opacity;
    const material = new THREE.MeshStandardMaterial({
      color: new THREE.Color().setRGB(r, g, b, THREE.SRGBColorSpace),
      roughness: 0.85 - 0.6 * shape.shininess,
      metalness: 0,
      transparent: see < 1,
      opacity: see,
      depthWrite: see >= 1 || opacity < 1,
      side: shape.shape === 'mesh' || shape.shape === 'height field' || shape.shape === 'plane' ? THREE.DoubleSide : THREE.FrontSide,
    });
    const texture = this.textures[shape.texture];
    if (texture) {
      const [x, y] = this.planeSize(shape);
      const [u, v] = shape.uniform || shape.size[0] <= 0 || shape.size[1] <= 0 ? [2 * x * shape.repeat[0], 2 * y * shape.repeat[1]] : shape.repeat;
      material.map = texture.clone();
      material.map.repeat.set(u, v);
      material.map.offset.set(-u / 2, -v / 2); // a corner of the picture is at the middle
    }
    return material;
  }
}

/** One robot: a group for each body. The world's own shapes are there only with `world`. */
export class Robot {
  readonly root = new THREE.Group();
  readonly bodies: THREE.Group[] = [];

  constructor(scene: SceneData, geometry: Geometry, opacity: number, world: boolean) {
    scene.bodies.forEach((_, i) => {
      const group = new THREE.Group();
      group.userData.body = i;
      this.bodies.push(group);
      this.root.add(group);
    });
    for (const shape of scene.shapes) {
      if (shape.body === 0 && !world) continue;
      const mesh = new THREE.Mesh(geometry.of(shape), geometry.material(shape, opacity));
      mesh.position.set(...shape.position);
      const [w, x, y, z] = shape.rotation;
      mesh.quaternion.set(x, y, z, w);
      const solid = opacity === 1 && shape.colour[3] === 1;
      mesh.castShadow = solid && shape.shape !== 'plane';
      mesh.receiveShadow = solid;
      this.bodies[shape.body]!.add(mesh);
    }
  }

  /** Poses of a rollout [steps, bodies - 1, 7] at a time between steps. */
  pose(poses: ArrayLike<number>, time: number): void {
    const stride = 7 * (this.bodies.length - 1);
    const last = Math.floor(poses.length / stride) - 1;
    const t = Math.min(Math.max(time, 0), last);
    const before = Math.min(Math.floor(t), last);
    const after = Math.min(before + 1, last);
    const share = t - before;
    const turned = new THREE.Quaternion();
    for (let i = 1; i < this.bodies.length; ++i) {
      const a = before * stride + 7 * (i - 1);
      const b = after * stride + 7 * (i - 1);
      const at = (k: number) => poses[a + k]! * (1 - share) + poses[b + k]! * share;
      const group = this.bodies[i]!;
      group.position.set(at(0), at(1), at(2));
      group.quaternion.set(poses[a + 4]!, poses[a + 5]!, poses[a + 6]!, poses[a + 3]!);
      group.quaternion.slerp(turned.set(poses[b + 4]!, poses[b + 5]!, poses[b + 6]!, poses[b + 3]!), share);
    }
  }
}

/** Middle of the bodies that move, for the camera to follow. */
export function middle(poses: ArrayLike<number>, bodies: number, time: number, out: THREE.Vector3): THREE.Vector3 {
  const stride = 7 * (bodies - 1);
  const last = Math.floor(poses.length / stride) - 1;
  const t = Math.min(Math.max(time, 0), last);
  const before = Math.floor(t);
  const after = Math.min(before + 1, last);
  out.set(0, 0, 0);
  for (let i = 0; i < bodies - 1; ++i)
    for (let k = 0; k < 3; ++k) {
      const value = poses[before * stride + 7 * i + k]! * (1 - t + before) + poses[after * stride + 7 * i + k]! * (t - before);
      out.setComponent(k, out.getComponent(k) + value / Math.max(1, bodies - 1));
    }
  return out;
}
