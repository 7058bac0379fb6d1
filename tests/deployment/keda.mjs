// Holds ScaledObjects to KEDA's own schema: MODULES=DIRECTORY node keda.mjs DOCUMENTS.json
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const home = `${process.env.MODULES}/node_modules/@kubernetes-models/keda`;
const { ScaledObject } = await import(pathToFileURL(`${home}/keda.sh/v1alpha1/index.js`).href);
const schema = readFileSync(`${home}/_schemas/ComGithubKedacoreKedaV2ApisKedaV1alpha1ScaledObjectSpec.js`, "utf8");

const found = JSON.parse(readFileSync(process.argv[2])).filter((one) => one.kind === "ScaledObject");
if (found.length === 0) throw new Error("there is no ScaledObject");
for (const one of found) {
  new ScaledObject(one).validate();
  // The schema lets unknown fields pass, as a cluster does, which then drops them.
  for (const field of Object.keys(one.spec)) {
    if (!schema.includes(`data.${field}`)) throw new Error(`spec.${field} is nothing that KEDA knows`);
  }
}
