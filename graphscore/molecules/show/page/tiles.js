// Conformers of one molecule side by side, each turned by hand.

const [molecule] = data.molecules;
document.querySelectorAll("canvas").forEach((canvas, number) => {
  const layer = { molecule, pos: coordinates(molecule.conformers[number]), style: "balls", hydrogens: true };
  const scene = () => ({ layers: [layer], extent: molecule.extent });
  new Stage(canvas, scene, balls => { document.documentElement.dataset.balls = balls; }, true);
});
