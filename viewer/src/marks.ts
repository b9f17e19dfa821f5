// What a world adds to the robot: the path of a ball, and where the rollouts of a policy led.
import * as THREE from 'three';

/** Discs where the rollouts led, yellow where that is good. */
export function marksOf(marks: Float32Array, extent: number): THREE.Object3D {
  const n = marks.length / 4;
  const radius = 0.02 * extent;
  const discs = new THREE.InstancedMesh(new THREE.CylinderGeometry(radius, radius, 0.004 * extent, 24).rotateX(Math.PI / 2), new THREE.MeshStandardMaterial(), n);
  for (let i = 0; i < n; ++i) {
    discs.setMatrixAt(i, new THREE.Matrix4().makeTranslation(marks[4 * i]!, marks[4 * i + 1]!, marks[4 * i + 2]!));
    discs.setColorAt(i, new THREE.Color(marks[4 * i + 3] ? '#f0e442' : '#d55e00'));
  }
  discs.receiveShadow = true;
  return discs;
}

/** A path as a line that is as thick as it is near. */
export function pathOf(points: Float32Array, extent: number): THREE.Object3D {
  const radius = 0.004 * extent;
  const pieces = new THREE.Group();
  const material = new THREE.MeshBasicMaterial({ color: '#56b4e9' });
  const at = (i: number) => new THREE.Vector3(points[3 * i], points[3 * i + 1], points[3 * i + 2]);
  for (let i = 0; 3 * (i + 1) < points.length; ++i) {
    const way = at(i + 1).sub(at(i));
    const length = way.length();
    if (length === 0) continue;
    const piece = new THREE.Mesh(new THREE.CapsuleGeometry(radius, length, 4, 8), material);
    piece.position.copy(at(i)).addScaledVector(way, 0.5);
    piece.quaternion.setFromUnitVectors(new THREE.Vector3(0, 1, 0), way.normalize());
    pieces.add(piece);
  }
  return pieces;
}
